// Package phoneblock keeps a phone once in a campaign at a cost that does not grow:
// as packed blocks, which the embedded store writes in the transaction of the leads
// themselves, and as an exact table in memory made from the blocks alone.
//
// A unique index puts every new phone at a random place of a tree, so that each lead
// of a campaign of millions changes a page of its own. Blocks are only appended to:
// 500 leads are four rows. What the index was asked for, the table answers.
//
// The package holds values and no database. Who stores the blocks must see to it
// that a table changes only after the transaction that changed its blocks is
// committed: then a table that is dropped, and made again, is the same.
//
// Start reading at [Block]; [Table] is the memory.
package phoneblock
