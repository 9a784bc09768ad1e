package dnd
import ("testing";"time";"fmt";"saaf")
//go:noinline
func (s *Snapshot) bit(p saaf.Phone) bool {
	head, n := uint64(p)/headSpan, uint64(p)%headSpan
	if head >= numHeads { return false }
	at := uint64(s.blocks[head]) * 8
	return at != 0 && s.data[at+n/8]>>(n%8)&1 != 0
}
//go:noinline
func (s *Snapshot) raw1(p saaf.Phone) byte {
	return s.data[uint64(p-6e9)/8]
}
func BenchmarkExp(b *testing.B) {
	s := open(b, randomSnapshot(b, 1e8, false))
	phones := randomPhones(1 << 20)
	array := make([]byte, len(s.data))
	for i := range array { array[i] = byte(i) }
	places := make([]uint32, len(phones))
	for i, p := range phones { places[i] = uint32(uint64(p-6e9) * uint64(len(array)-1) / 4e9) }
	const N = 8<<20
	for range 5 {
		m := func(f func() int) float64 { t := time.Now(); x := f(); if x < 0 {panic(x)}; return float64(time.Since(t).Nanoseconds())/N }
		heap := m(func() int { sum := 0; for r := 0; r < 8; r++ { for _, p := range places { sum += int(array[p]) } }; return sum })
		file := m(func() int { sum := 0; for r := 0; r < 8; r++ { for _, p := range places { sum += int(s.data[p]) } }; return sum })
		look := m(func() int { sum := 0; for r := 0; r < 8; r++ { for _, p := range phones { if s.Lookup(p).Listed {sum++} } }; return sum })
		bit := m(func() int { sum := 0; for r := 0; r < 8; r++ { for _, p := range phones { if s.bit(p) {sum++} } }; return sum })
		raw1 := m(func() int { sum := 0; for r := 0; r < 8; r++ { for _, p := range phones { sum+= int(s.raw1(p)) } }; return sum })
		fmt.Printf("heap %.1f file %.1f lookup %.1f bit %.1f raw1 %.1f\n", heap, file, look, bit, raw1)
	}
}
