// A proxy in Go: io.Copy, which uses splice(2) between TCP sockets on Linux.

package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func pass(from, to *net.TCPConn, done chan<- bool) {
	io.Copy(to, from)
	to.CloseWrite()
	done <- true
}

func join(client *net.TCPConn, address string) {
	defer client.Close()
	dialled, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer dialled.Close()
	server := dialled.(*net.TCPConn)
	done := make(chan bool, 2)
	go pass(client, server, done)
	go pass(server, client, done)
	<-done
	<-done
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go join(client.(*net.TCPConn), "127.0.0.1:"+os.Args[1])
	}
}
