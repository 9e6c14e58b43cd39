package store

// A SecretChange puts another hash of the same secret in the place of one, if that is still there: a compare-and-set, so that
// what was changed meanwhile is not undone.
type SecretChange struct {
	ClientID, SecretID string
	Old, New           string // as Secret.Hash
}
