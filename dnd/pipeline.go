package dnd

import "sync"

// crew is the goroutines that an import works with.
type crew struct {
	size  int    // of those that do the work
	begin func() // what each begins with; nil for nothing
}

func (c crew) begins() {
	if c.begin != nil {
		c.begin()
	}
}

// pipeline passes slots through three steps. next fills a slot and reports false
// when there is nothing left; it runs in one goroutine of its own. work runs on
// goroutines of the crew, each with its number from 0. done takes the slots in the
// order in which next filled them, in the goroutine of the caller; its error ends
// everything. When pipeline returns, all of its goroutines have.
func pipeline[T any](c crew, slots []T, next func(T) bool, work func(worker int, slot T), done func(T) error) error {
	type task struct {
		slot  T
		ready chan struct{}
	}
	free, todo, order := make(chan *task, len(slots)), make(chan *task, len(slots)), make(chan *task, len(slots))
	for _, slot := range slots {
		free <- &task{slot, make(chan struct{}, 1)}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		defer close(order)
		defer close(todo)
		c.begins()
		for {
			select {
			case t := <-free:
				if !next(t.slot) {
					return
				}
				todo <- t
				order <- t
			case <-stop:
				return
			}
		}
	})
	for worker := range c.size {
		wg.Go(func() {
			c.begins()
			for t := range todo {
				work(worker, t.slot)
				t.ready <- struct{}{}
			}
		})
	}
	for t := range order {
		<-t.ready
		if err := done(t.slot); err != nil {
			return err
		}
		free <- t
	}
	return nil
}
