// The rows of the benches as a Go programmer would write them.
//
// Usage: gthread-bench-go ROW SIZE quick|full; the answer is one line of
// values, one per metric of the row (benches/harness/child.rs reads it).
// Go has no park and unpark: a pair of unbuffered channels stands in. A
// blocking call that the runtime is not told of is a raw system call, as a C
// library's would be.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var quick bool

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gthread-bench-go ROW SIZE quick|full")
		os.Exit(2)
	}
	size, err := strconv.Atoi(os.Args[2])
	if err != nil || size < 1 {
		fmt.Fprintln(os.Stderr, "not a size:", os.Args[2])
		os.Exit(2)
	}
	quick = os.Args[3] == "quick"
	values := run(os.Args[1], size)
	if values == nil {
		fmt.Fprintln(os.Stderr, "no such row:", os.Args[1])
		os.Exit(2)
	}
	fmt.Print("cell:")
	for _, v := range values {
		fmt.Print(" ", strconv.FormatFloat(v, 'f', -1, 64))
	}
	fmt.Println()
}

func run(row string, size int) []float64 {
	base := strings.TrimSuffix(strings.TrimSuffix(row, "_w1"), "_w2")
	switch {
	case base == "spawn_one":
		return perOp(size, 1, spawnOne)
	case base == "spawn_batch":
		return perOp(size, 10_000, spawnBatch)
	case base == "spawn_nested":
		return perOp(size, 100, func(n int) {
			for i := 0; i < n; i++ {
				chain(100)
			}
		})
	case base == "yield_1":
		return perOp(size, 1, func(n int) { yields(n) })
	case base == "yield_1000":
		return perOp(size, 1000, func(n int) { crowd(1000, n) })
	case base == "switch":
		return perOp(size, 2, func(n int) { crowd(2, n) })
	case base == "park_pingpong":
		return perOp(size, 1, pingpong)
	case strings.HasPrefix(base, "chan_"):
		return channels(base, size)
	case base == "skynet":
		return skynet(size)
	case strings.HasPrefix(base, "parked_"):
		return parked(size, nil)
	case base == "idle_10k":
		return idle(size)
	case base == "blocking_raw":
		return blocking(size, true)
	case base == "blocking_told":
		return blocking(size, false)
	case strings.HasPrefix(base, "hogs_"):
		return hogs(size)
	case base == "sleep_50us":
		return shortSleeps(size)
	case strings.HasPrefix(base, "sleepers_"):
		return sleepers(size)
	}
	return nil
}

func perOp(size, ops int, units func(int)) []float64 {
	units(size/10 + 1)
	start := time.Now()
	units(size)
	return []float64{float64(time.Since(start).Nanoseconds()) / float64(size*ops)}
}

func spawnOne(n int) {
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		group.Add(1)
		go group.Done()
		group.Wait()
	}
}

func spawnBatch(n int) {
	for i := 0; i < n; i++ {
		var group sync.WaitGroup
		group.Add(10_000)
		for j := 0; j < 10_000; j++ {
			go group.Done()
		}
		group.Wait()
	}
}

// channels runs the rows of benches/rows/channel.rs, by their names.
func channels(base string, size int) []float64 {
	if base == "chan_select_4" {
		return perOp(size, 1, selectOfFour)
	}
	name := base[strings.LastIndex(base, "_")+1:]
	capacity, err := strconv.Atoi(name)
	if err != nil {
		// Go has no unbounded channels.
		return nil
	}
	switch {
	case strings.HasPrefix(base, "chan_pingpong_"):
		return perOp(size, 1, func(n int) { trips(n, capacity) })
	case strings.HasPrefix(base, "chan_spsc_"):
		return perOp(size, 1, func(n int) { stream(n, 1, capacity) })
	default:
		return perOp(size, 1, func(n int) { stream(n, 4, capacity) })
	}
}

func trips(n, capacity int) {
	ping, pong := make(chan int, capacity), make(chan int, capacity)
	go func() {
		for i := range ping {
			pong <- i
		}
	}()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
	close(ping)
}

func stream(n, sides, capacity int) {
	c := make(chan int, capacity)
	var senders, receivers sync.WaitGroup
	senders.Add(sides)
	receivers.Add(sides)
	for i := 0; i < sides; i++ {
		go func() {
			for i := 0; i < n/sides; i++ {
				c <- i
			}
			senders.Done()
		}()
		go func() {
			for range c {
			}
			receivers.Done()
		}()
	}
	senders.Wait()
	close(c)
	receivers.Wait()
}

func selectOfFour(n int) {
	var c [4]chan int
	for i := range c {
		c[i] = make(chan int)
		go func() {
			for j := 0; j < n/4; j++ {
				c[i] <- j
			}
		}()
	}
	for i := 0; i < n/4*4; i++ {
		select {
		case <-c[0]:
		case <-c[1]:
		case <-c[2]:
		case <-c[3]:
		}
	}
}

func chain(depth int) {
	if depth == 0 {
		return
	}
	done := make(chan struct{})
	go func() { chain(depth - 1); close(done) }()
	<-done
}

func yields(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

func crowd(count, n int) {
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go func() { yields(n); group.Done() }()
	}
	group.Wait()
}

func pingpong(n int) {
	ping, pong := make(chan struct{}), make(chan struct{})
	go func() {
		for i := 0; i < n; i++ {
			<-ping
			pong <- struct{}{}
		}
	}()
	for i := 0; i < n; i++ {
		ping <- struct{}{}
		<-pong
	}
}

func tree(first, leaves int, sum chan<- int) {
	if leaves == 1 {
		sum <- first
		return
	}
	tenth, sums, total := leaves/10, make(chan int, 10), 0
	for i := 0; i < 10; i++ {
		go tree(first+i*tenth, tenth, sums)
	}
	for i := 0; i < 10; i++ {
		total += <-sums
	}
	sum <- total
}

func skynet(leaves int) []float64 {
	start, sum := time.Now(), make(chan int, 1)
	tree(0, leaves, sum)
	elapsed := time.Since(start)
	if got := <-sum; got != leaves*(leaves-1)/2 {
		panic("a leaf was lost or counted twice")
	}
	return []float64{float64(elapsed.Nanoseconds()) / float64((leaves-1)/9*10)}
}

func field(file, name string) float64 {
	text, _ := os.ReadFile(file)
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, name); found {
			value, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return value
		}
	}
	return 0
}

func memory() [3]float64 {
	mappings := 0.0
	if file, err := os.Open("/proc/self/maps"); err == nil {
		for lines := bufio.NewScanner(file); lines.Scan(); mappings++ {
		}
		file.Close()
	}
	status := "/proc/self/status"
	return [3]float64{field(status, "VmRSS:") * 1024, field(status, "VmPTE:") * 1024, mappings}
}

func parked(count int, look func() []float64) []float64 {
	before, start := memory(), time.Now()
	var arrived atomic.Int64
	var group sync.WaitGroup
	awake := make(chan struct{})
	group.Add(count)
	for i := 0; i < count; i++ {
		go func() { arrived.Add(1); <-awake; group.Done() }()
	}
	for int(arrived.Load()) < count {
		time.Sleep(time.Millisecond)
	}
	spawning := time.Since(start)
	time.Sleep(100 * time.Millisecond)
	after := memory()
	var seen []float64
	if look != nil {
		seen = look()
	}
	start = time.Now()
	close(awake)
	group.Wait()
	n := float64(count)
	if look != nil {
		return seen
	}
	return []float64{(after[0] - before[0]) / n, (after[1] - before[1]) / n, after[2] - before[2],
		float64(spawning.Nanoseconds()) / n, float64(time.Since(start).Nanoseconds()) / n}
}

func idle(count int) []float64 {
	return parked(count, func() []float64 {
		time.Sleep(500 * time.Millisecond)
		var a, b syscall.Rusage
		start := time.Now()
		syscall.Getrusage(syscall.RUSAGE_SELF, &a)
		if quick {
			time.Sleep(300 * time.Millisecond)
		} else {
			time.Sleep(3 * time.Second)
		}
		syscall.Getrusage(syscall.RUSAGE_SELF, &b)
		seconds := time.Since(start).Seconds()
		busy := b.Utime.Nano() + b.Stime.Nano() - a.Utime.Nano() - a.Stime.Nano()
		return []float64{float64(b.Nvcsw+b.Nivcsw-a.Nvcsw-a.Nivcsw) / seconds,
			float64(busy) / 1e3 / seconds}
	})
}

// The p50, p99 and maximum in microseconds.
func summary(late []time.Duration) []float64 {
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	at := func(share float64) float64 {
		index := min(int(float64(len(late))*share), len(late)-1)
		return float64(late[index].Nanoseconds()) / 1e3
	}
	return []float64{at(0.5), at(0.99), at(1)}
}

type ticker struct {
	start time.Time
	end   atomic.Int64
	late  chan []time.Duration
}

func newTicker() *ticker {
	t := &ticker{start: time.Now(), late: make(chan []time.Duration, 1)}
	t.end.Store(1 << 62)
	go func() {
		var late []time.Duration
		for due := time.Millisecond; int64(due) <= t.end.Load(); due += time.Millisecond {
			if wait := due - time.Since(t.start); wait > 0 {
				time.Sleep(wait)
			}
			late = append(late, max(0, time.Since(t.start)-due))
		}
		t.late <- late
	}()
	return t
}

func (t *ticker) stop() []time.Duration {
	t.end.Store(int64(time.Since(t.start)))
	return <-t.late
}

func blocking(calls int, raw bool) []float64 {
	ticking := newTicker()
	time.Sleep(5 * time.Millisecond)
	start := time.Now()
	var group sync.WaitGroup
	group.Add(calls)
	for i := 0; i < calls; i++ {
		go func() {
			length := syscall.Timespec{Nsec: 10_000_000}
			pointer := uintptr(unsafe.Pointer(&length))
			if raw {
				syscall.RawSyscall6(syscall.SYS_CLOCK_NANOSLEEP, 1, 0, pointer, 0, 0, 0)
			} else {
				syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, 1, 0, pointer, 0, 0, 0)
			}
			runtime.KeepAlive(&length)
			group.Done()
		}()
	}
	group.Wait()
	total := time.Since(start)
	return append([]float64{total.Seconds() * 1e3}, summary(ticking.stop())...)
}

var sink atomic.Uint64

func hogs(count int) []float64 {
	length := 800 * time.Millisecond
	if count > 16 {
		length = 2500 * time.Millisecond
	}
	if quick {
		length = 200 * time.Millisecond
	}
	ticking := newTicker()
	time.Sleep(5 * time.Millisecond)
	start := time.Now()
	waited := make([]time.Duration, count)
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			waited[i] = time.Since(start)
			x := uint64(1)
			for time.Since(start) < length {
				for j := 0; j < 10_000; j++ {
					x = x*6_364_136_223_846_793_005 + 1
				}
			}
			sink.Add(x)
			group.Done()
		}()
	}
	group.Wait()
	first := summary(waited)
	return append(summary(ticking.stop()), first[0], first[2])
}

func shortSleeps(count int) []float64 {
	late := make([]time.Duration, count)
	for i := range late {
		start := time.Now()
		time.Sleep(50 * time.Microsecond)
		late[i] = max(0, time.Since(start)-50*time.Microsecond)
	}
	return summary(late)[:2]
}

func sleepers(count int) []float64 {
	least, spread := 500*time.Millisecond, time.Second
	if quick {
		least, spread = 100*time.Millisecond, 100*time.Millisecond
	} else if count >= 1_000_000 {
		least, spread = 5*time.Second, 5*time.Second
	}
	late := make([]time.Duration, count)
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			// 500 to 1,500 ms (100 to 200), spread evenly and in no order.
			share := float64(uint64(i)*0x9E3779B97F4A7C15) / (1 << 64)
			length := least + time.Duration(share*float64(spread))
			start := time.Now()
			time.Sleep(length)
			late[i] = max(0, time.Since(start)-length)
			group.Done()
		}()
	}
	group.Wait()
	return summary(late)[:2]
}
