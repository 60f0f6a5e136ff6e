// The server in Go: net/http, with a buffered channel for each subscriber.
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Messages that may be queued for a subscriber before it is disconnected.
const buffered = 64

var message = []byte("data: " + strings.Repeat("x", 92) + "\n\n")

var (
	lock        sync.Mutex
	subscribers = make(map[chan []byte]struct{})
)

// start sets the headers. They are sent with the first message.
func start(w http.ResponseWriter) http.Flusher {
	w.Header().Set("Content-Type", "text/event-stream")
	return w.(http.Flusher)
}

// send writes one message as its own chunk, and reports whether it succeeded.
func send(w http.ResponseWriter, flusher http.Flusher, message []byte) bool {
	if _, err := w.Write(message); err != nil {
		return false
	}
	flusher.Flush()
	return true
}

func messages(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		number = 12
	}
	flusher := start(w)
	for ; number > 0 && send(w, flusher, message); number-- {
	}
}

// trade is one of the events that differ, in a list that repeats. See benchmarks/message.py.
func trade(n int) []byte {
	price, volume := 10000+n*7919%5000, n*104729%9973
	return []byte(fmt.Sprintf("id: 5f3a-%d\nevent: trade\ndata: {\"symbol\":\"%c%cX\",\"price\":%d.%02d,"+
		"\"volume\":%d,\"time\":\"12:%02d:%02d\"}\n\n",
		n, "ABCDEFGH"[n*5%8], "IJKLM"[n*3%5], price/100, price%100, volume, n/60%60, n%60))
}

// compressed sends events in gzip, each flushed.
func compressed(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		return
	}
	var trades [1000][]byte
	for n := range trades {
		trades[n] = trade(n)
	}
	w.Header().Set("Content-Encoding", "gzip")
	flusher := start(w)
	coder := gzip.NewWriter(w)
	for n := 0; n < number; n++ {
		if _, err := coder.Write(trades[n%1000]); err != nil {
			return
		}
		if coder.Flush() != nil {
			return
		}
		flusher.Flush()
	}
	coder.Close()
}

func subscribe(w http.ResponseWriter, r *http.Request) {
	messages := make(chan []byte, buffered)
	lock.Lock()
	subscribers[messages] = struct{}{}
	lock.Unlock()
	defer func() {
		lock.Lock()
		delete(subscribers, messages)
		lock.Unlock()
	}()
	flusher, disconnected := start(w), r.Context().Done()
	for next, more := message, true; more && send(w, flusher, next); {
		select {
		case next, more = <-messages:
		case <-disconnected:
			return
		}
	}
}

func publish(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	// Writing to all of them here is no faster, and one of them could block the others.
	lock.Lock()
	for messages := range subscribers {
		select {
		case messages <- message:
		default: // a slow subscriber: its stream ends after the queued messages
			delete(subscribers, messages)
			close(messages)
		}
	}
	lock.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	http.HandleFunc("/twelve", messages)
	http.HandleFunc("/many", messages)
	http.HandleFunc("/gzip", compressed)
	http.HandleFunc("/subscribe", subscribe)
	http.HandleFunc("/publish", publish)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
