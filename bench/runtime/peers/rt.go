// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The molt authors

// The runtime's figures in Go: `rt FIGURE N MS PLACE [FIRST SPREAD]` prints "result
// KEY=VALUE ..." as ../molt does. GOMAXPROCS says on how many cores.
//
// A process is a goroutine with a channel. Channels are unbuffered where an
// answer is waited for and hold 1024 where it isn't; values are small structs,
// nothing is allocated in a loop but what the figure is about. Go has no way to
// place goroutines, so PLACE is no matter here.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type figures struct {
	ops       int64
	wall, cpu int64
	more      string
}

func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// fn does about as many operations as it is told and returns their number. It
// runs with more and more of them until they take long enough; that run counts,
// but never the first, which waits for what was started just before.
func measure(target int64, fn func(ops int64) int64) figures {
	wanted := int64(100)
	for run := 1; ; run++ {
		used, began := cpu(), time.Now()
		ops := fn(wanted)
		wall := time.Since(began).Nanoseconds()
		if run >= 2 && wall >= target-target/5 {
			return figures{ops: ops, wall: wall, cpu: cpu() - used}
		}
		factor := 1.1 * float64(target) / float64(wall+1)
		if factor > 10 {
			factor = 10
		}
		wanted = int64(float64(wanted)*factor) + 1
	}
}

func pingpong(n, target int64) figures {
	starts := make([]chan int64, n)
	finished := make(chan struct{}, n)
	for i := range starts {
		there, back := make(chan int64), make(chan int64)
		starts[i] = make(chan int64)
		go func() {
			for v := range there {
				back <- v
			}
		}()
		go func(start chan int64) {
			for rounds := range start {
				for ; rounds > 0; rounds-- {
					there <- rounds
					<-back
				}
				finished <- struct{}{}
			}
		}(starts[i])
	}
	return measure(target, func(ops int64) int64 {
		rounds := ops/n + 1
		for _, start := range starts {
			start <- rounds
		}
		for range starts {
			<-finished
		}
		return rounds * n
	})
}

func send(n, target int64) figures {
	items := make(chan int64, 1024)
	starts := make([]chan int64, n)
	for i := range starts {
		starts[i] = make(chan int64)
		go func(start chan int64) {
			for left := range start {
				for ; left > 0; left-- {
					items <- left
				}
			}
		}(starts[i])
	}
	expect, sums := make(chan int64), make(chan int64)
	go func() {
		for left := range expect {
			sum := int64(0)
			for ; left > 0; left-- {
				sum += <-items
			}
			sums <- sum
		}
	}()
	return measure(target, func(ops int64) int64 {
		each := ops/n + 1
		expect <- n * each
		for _, start := range starts {
			start <- each
		}
		<-sums
		return n * each
	})
}

type request struct {
	value int64
	reply chan int64
}

func call(n, target int64) figures {
	requests := make(chan request)
	go func() {
		sum := int64(0)
		for r := range requests {
			sum += r.value
			r.reply <- sum
		}
	}()
	starts := make([]chan int64, n)
	finished := make(chan struct{}, n)
	for i := range starts {
		starts[i] = make(chan int64)
		go func(start chan int64) {
			reply := make(chan int64, 1)
			for left := range start {
				for ; left > 0; left-- {
					requests <- request{1, reply}
					<-reply
				}
				finished <- struct{}{}
			}
		}(starts[i])
	}
	return measure(target, func(ops int64) int64 {
		each := ops/n + 1
		for _, start := range starts {
			start <- each
		}
		for range starts {
			<-finished
		}
		return n * each
	})
}

func spawn(n, target int64) figures {
	return measure(target, func(ops int64) int64 {
		var group sync.WaitGroup
		batches := ops/n + 1
		for b := int64(0); b < batches; b++ {
			group.Add(int(n))
			for i := int64(0); i < n; i++ {
				go group.Done()
			}
			group.Wait()
		}
		return batches * n
	})
}

func ring(n, target int64) figures {
	first := make(chan int64)
	end := make(chan int64)
	in := first
	for i := int64(0); i < n; i++ {
		out := first
		if i < n-1 {
			out = make(chan int64)
		}
		go func(in, out chan int64) {
			for left := range in {
				if left == 0 {
					end <- 0
				} else {
					out <- left - 1
				}
			}
		}(in, out)
		in = out
	}
	return measure(target, func(ops int64) int64 {
		first <- ops
		<-end
		return ops
	})
}

func resident() int64 {
	var size, pages int64
	file, err := os.Open("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := fmt.Fscan(file, &size, &pages); err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

// All wait at one channel that nobody sends to: memory of channels isn't counted,
// while mailboxes of the others are.
func idle(n int64) figures {
	var born int64
	finished, never := make(chan struct{}), make(chan int64)
	before := resident()
	used, began := cpu(), time.Now()
	for i := int64(0); i < n; i++ {
		go func() {
			if atomic.AddInt64(&born, 1) == n {
				finished <- struct{}{}
			}
			value := int64(0)
			for add := range never {
				value += add
			}
		}()
	}
	<-finished
	f := figures{ops: n, wall: time.Since(began).Nanoseconds(), cpu: cpu() - used}
	after := resident()
	f.more = fmt.Sprintf(" grown=%d resident=%d", after-before, after)
	return f
}

func nothing() {}

func cancel(n, target int64) figures {
	for i := int64(0); i < n; i++ {
		time.AfterFunc(time.Hour+time.Duration(i)*time.Millisecond, nothing)
	}
	timer := time.AfterFunc(time.Hour, nothing)
	return measure(target, func(ops int64) int64 {
		for i := int64(0); i < ops; i++ {
			timer.Reset(time.Duration(1000+i&4095) * time.Millisecond)
			timer.Stop()
		}
		return ops
	})
}

// Functions to be called, not goroutines that sleep: the cheaper way.
func timers(n, first, spread int64) figures {
	late := make([]int64, n)
	var fired int64
	finished := make(chan struct{})
	used, began := cpu(), time.Now()
	for i := int64(0); i < n; i++ {
		i := i
		after := time.Duration(first+i*spread/n) * time.Millisecond
		due := time.Now().Add(after)
		time.AfterFunc(after, func() {
			late[i] = time.Since(due).Nanoseconds()
			if atomic.AddInt64(&fired, 1) == n {
				finished <- struct{}{}
			}
		})
	}
	f := figures{ops: n, wall: time.Since(began).Nanoseconds(), cpu: cpu() - used}
	<-finished
	sort.Slice(late, func(a, b int) bool { return late[a] < late[b] })
	f.more = fmt.Sprintf(" late_p50_ns=%d late_p99_ns=%d late_max_ns=%d", late[n/2], late[n*99/100],
		late[n-1])
	return f
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rt:", err)
		os.Exit(2)
	}
	return n
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: rt FIGURE N MS PLACE [FIRST SPREAD]")
		os.Exit(2)
	}
	n, target := number(os.Args[2]), number(os.Args[3])*1000000
	runtime.GC()
	var f figures
	switch os.Args[1] {
	case "pingpong":
		f = pingpong(n, target)
	case "send":
		f = send(n, target)
	case "call":
		f = call(n, target)
	case "spawn":
		f = spawn(n, target)
	case "ring":
		f = ring(n, target)
	case "idle":
		f = idle(n)
	case "cancel":
		f = cancel(n, target)
	case "timers":
		f = timers(n, number(os.Args[5]), number(os.Args[6]))
	default:
		fmt.Fprintln(os.Stderr, "rt: no such figure:", os.Args[1])
		os.Exit(2)
	}
	fmt.Printf("result ops=%d wall_ns=%d cpu_ns=%d%s\n", f.ops, f.wall, f.cpu, f.more)
}
