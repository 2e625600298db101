// The same reading in Go, with bufio. Prints one line of JSON.

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

const blockBytes = 65536

func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func readLines(reader *bufio.Reader) (count int) {
	for {
		if _, err := reader.ReadString('\n'); err != nil {
			return count
		}
		count++
	}
}

func readFrames(reader *bufio.Reader) (count int) {
	prefix := make([]byte, 4)
	for {
		if _, err := io.ReadFull(reader, prefix); err != nil {
			return count
		}
		frame := make([]byte, binary.BigEndian.Uint32(prefix))
		if _, err := io.ReadFull(reader, frame); err != nil {
			return count
		}
		count++
	}
}

func readBlocks(reader *bufio.Reader) (count int) {
	block := make([]byte, blockBytes)
	for {
		if _, err := io.ReadFull(reader, block); err != nil {
			return count
		}
		count++
	}
}

func once(port string, request byte) int {
	connection, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte{request}); err != nil {
		panic(err)
	}
	reader := bufio.NewReaderSize(connection, blockBytes)
	switch request {
	case 2:
		return readFrames(reader)
	case 3:
		return readBlocks(reader)
	default:
		return readLines(reader)
	}
}

func main() {
	request, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	once(os.Args[2], byte(request))
	before := cpuNs()
	count := once(os.Args[2], byte(request))
	fmt.Printf("{\"ns\": %f}\n", float64(cpuNs()-before)/float64(count))
}
