// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The molt authors

// "Hello 0" on net/http: `hello ADDRESS`.
package main

import (
	"log"
	"net/http"
	"os"
)

var body = []byte("Hello 0\n")

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = []string{"text/plain"}
	w.Write(body)
}

func main() {
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(hello)))
}
