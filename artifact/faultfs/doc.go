// Package faultfs is for tests: file systems that fail on purpose.
//
// [Memory] holds files in memory and records every change, so that a test can
// ask for the states that a power loss could have left at any moment
// ([Memory.Crash]). [Failing] stands in front of another file system and
// makes one chosen call fail, or that one and all after it.
//
// # The model of a power loss
//
// What [artifact.File.Sync] or [artifact.FS.SyncFile] covered is on the disk;
// names that [artifact.FS.SyncFolder] covered are in the folder. Of anything
// later the disk may hold any part: each unsynced write is there, absent, or
// cut into blocks of 512 or 4096 bytes of which some arrived (the others read
// as zeros or as what was there before); each unsynced change of names in a
// folder (create, rename, remove, make a folder) happened or did not,
// independently of the others. This is more than any one file system does and
// all that POSIX allows, except that a rename within a folder is never half
// done.
//
// It is not a simulation of media errors after the fact (a flipped bit): tests
// make those on real files.
package faultfs
