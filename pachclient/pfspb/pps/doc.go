// Package pps holds the messages of ListPipeline of the service pps_v2.API.
package pps
