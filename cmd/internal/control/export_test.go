package control

import "net/http"

// HTTP is the client below, for requests that it would not make.
func (c *Client) HTTP() *http.Client { return &c.http }
