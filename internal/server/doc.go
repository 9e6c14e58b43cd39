// Package server runs Writ: it reads the configuration, opens the store, the key ring and the journal, puts the OAuth
// endpoints on a public listener and the admin API on another, keeps the background work going, and stops in order.
//
// It decides nothing about tokens or the registry: authority and registry do, behind endpoint and adminapi. Only
// cmd/writ calls it.
package server
