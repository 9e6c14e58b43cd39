package main

import (
	"time"

	"github.com/spf13/pflag"
)

// reuseFlag makes the flag for how long a client that asks for the same again gets the same token.
func reuseFlag(flags *pflag.FlagSet, window *time.Duration) {
	flags.DurationVar(window, "reuse-tokens", 0, "for how long it gets the same token when it asks for the same,\nsuch as 60s; 0: never")
}

func describeReuse(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return "within " + (time.Duration(seconds) * time.Second).String() + ", who asks for the same gets the same token"
}
