// Package version holds the messages of the service versionpb_v2.API.
package version
