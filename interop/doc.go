// Package interop runs clients and validators that we did not write against the real server: what is standard on the
// wire is what others understand. It has tests only.
//
// The foreign libraries come from their registries, pinned with hashes by go.sum, node/package-lock.json and
// python/requirements.txt, and are kept in .tools at the root of the repository. Without node, npm or python3 a laptop
// skips those tests; with CI=true they fail.
package interop
