// Package intake takes leads in: it normalises the phone, checks the number
// against the registry, and hands what is left to the store, which decides
// duplicates and answers when the lead is on the disk.
//
// It must not read HTTP or JSON and must not write SQL. Start reading at
// [Service.Push] and [Service.PushBulk].
package intake
