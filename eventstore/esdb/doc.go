// Package esdb is the engine on EventStoreDB / KurrentDB.
package esdb
