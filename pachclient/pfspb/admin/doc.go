// Package admin holds the messages of the service admin_v2.API.
package admin
