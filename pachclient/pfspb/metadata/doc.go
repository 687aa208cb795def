// Package metadata holds the messages of the service metadata.API (2.10 and later).
package metadata
