package audit

// FreeSpace returns what may still be written where path is, in bytes, and false if that cannot be told.
func FreeSpace(path string) (uint64, bool) { return freeSpace(path) }
