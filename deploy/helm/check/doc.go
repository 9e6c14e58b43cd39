// Package check renders the Helm chart as helm does, and holds what comes out to Kubernetes' own types and to the server's
// own reading of its configuration. It is a module of its own, because helm and Kubernetes bring hundreds of others.
package check
