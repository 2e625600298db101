// The work of primitives.ts in Go. Prints one line of JSON.

package main

import (
	"encoding/json"
	"os"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"
)

const (
	count          = 100_000
	fibersTogether = 1_000
	fibersPerScope = 4
	contenders     = 10
	warmupSamples  = 2
	samples        = 7
	sleepSamples   = 3
)

func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func medianCpuNs(samples int, work func()) float64 {
	var each []float64
	for sample := -warmupSamples; sample < samples; sample++ {
		start := cpuNs()
		work()
		if sample >= 0 {
			each = append(each, float64(cpuNs()-start)/count)
		}
	}
	sort.Float64s(each)
	return each[len(each)/2]
}

func spawnAndJoin(body func()) {
	for started := 0; started < count; started += fibersTogether {
		var ended [fibersTogether]chan struct{}
		for index := range ended {
			done := make(chan struct{})
			ended[index] = done
			go func() {
				body()
				close(done)
			}()
		}
		for _, done := range ended {
			<-done
		}
	}
}

func scopes() {
	for started := 0; started < count; started += fibersPerScope {
		var group sync.WaitGroup
		group.Add(fibersPerScope)
		for fiber := 0; fiber < fibersPerScope; fiber++ {
			go func() {
				runtime.Gosched()
				group.Done()
			}()
		}
		group.Wait()
	}
}

func transfer(capacity int) {
	channel := make(chan int, capacity)
	go func() {
		for item := 1; item <= count; item++ {
			channel <- item
		}
		close(channel)
	}()
	received := 0
	for range channel {
		received++
	}
	if received != count {
		panic("items are missing")
	}
}

func handOver() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	locked := 0
	for contender := 0; contender < contenders; contender++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < count/contenders; round++ {
				mutex.Lock()
				locked++
				// Without this, one goroutine takes the mutex again and again, and it is never handed over.
				runtime.Gosched()
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	if locked != count {
		panic("locks are missing")
	}
}

func sleepAll() {
	var group sync.WaitGroup
	group.Add(count)
	for index := 0; index < count; index++ {
		milliseconds := time.Duration(1 + (index*7919)%100)
		go func() {
			time.Sleep(milliseconds * time.Millisecond)
			group.Done()
		}()
	}
	group.Wait()
}

func main() {
	err := json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"spawnJoinNs":  medianCpuNs(samples, func() { spawnAndJoin(func() {}) }),
		"pausedNs":     medianCpuNs(samples, func() { spawnAndJoin(runtime.Gosched) }),
		"scopeNs":      medianCpuNs(samples, scopes),
		"rendezvousNs": medianCpuNs(samples, func() { transfer(0) }),
		"bufferedNs":   medianCpuNs(samples, func() { transfer(100) }),
		"mutexNs":      medianCpuNs(samples, handOver),
		"sleepNs":      medianCpuNs(sleepSamples, sleepAll),
	})
	if err != nil {
		panic(err)
	}
}
