// The server in Go: net/http, one buffered channel for each subscriber.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Messages that may wait for a subscriber before it is cut.
const buffered = 64

var message = []byte("data: " + strings.Repeat("x", 92) + "\n\n")

var (
	lock        sync.RWMutex
	subscribers = make(map[chan []byte]struct{})
)

// start sends nothing yet: the head leaves with the first message.
func start(w http.ResponseWriter) http.Flusher {
	w.Header().Set("Content-Type", "text/event-stream")
	return w.(http.Flusher)
}

// send writes one message as a chunk of its own, and tells whether it could.
func send(w http.ResponseWriter, flusher http.Flusher, message []byte) bool {
	if _, err := w.Write(message); err != nil {
		return false
	}
	flusher.Flush()
	return true
}

func sendMany(w http.ResponseWriter, number int) {
	flusher := start(w)
	for ; number > 0; number-- {
		if !send(w, flusher, message) {
			return
		}
	}
}

func twelve(w http.ResponseWriter, _ *http.Request) {
	sendMany(w, 12)
}

func many(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sendMany(w, number)
}

func ticks(w http.ResponseWriter, r *http.Request) {
	flusher := start(w)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for send(w, flusher, message) {
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
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
	flusher, left := start(w), r.Context().Done()
	for next, more := message, true; more && send(w, flusher, next); {
		select {
		case next, more = <-messages:
		case <-left:
			return
		}
	}
}

// cut ends the stream of a subscriber that is too slow, after the messages that wait for it.
func cut(messages chan []byte) {
	lock.Lock()
	defer lock.Unlock()
	if _, there := subscribers[messages]; there {
		delete(subscribers, messages)
		close(messages)
	}
}

func publish(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	message, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	// Writing to all of them from here instead is no faster, and one could hold up the others.
	var slow []chan []byte
	lock.RLock()
	for messages := range subscribers {
		select {
		case messages <- message:
		default:
			slow = append(slow, messages)
		}
	}
	lock.RUnlock()
	for _, messages := range slow {
		cut(messages)
	}
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	http.HandleFunc("/twelve", twelve)
	http.HandleFunc("/many", many)
	http.HandleFunc("/ticks", ticks)
	http.HandleFunc("/subscribe", subscribe)
	http.HandleFunc("/publish", publish)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
