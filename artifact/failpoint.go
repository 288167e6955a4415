package artifact

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// FailpointVariable is the environment variable that arms a failpoint:
//
//	ALMA_FAILPOINT=name:count[:action]
//
// The count-th time that the failpoint is reached (counted from 1), the action
// happens: "kill" (the default) ends the process with SIGKILL, "error" makes
// the step fail with [ErrFailpoint], "nospace" makes it fail as a full disk
// does. The name "any" counts every failpoint reached. It exists for tests of
// the real binary: a program arms it by calling [ArmFailpointFromEnvironment].
const FailpointVariable = "ALMA_FAILPOINT"

// ErrFailpoint is the error of a failpoint armed with the action "error".
var ErrFailpoint = errors.New("failpoint reached")

// A Failpoint is a named place in the code where a test can break it. Hit
// costs one load of a pointer while no failpoint is armed.
type Failpoint struct{ name string }

type armedFailpoint struct {
	name   string // "any" or a registered name
	count  int64  // the hit that acts
	action string
	hits   atomic.Int64
}

var (
	armed      atomic.Pointer[armedFailpoint]
	failpoints struct {
		sync.Mutex
		names map[string]bool
	}
)

// NewFailpoint registers a failpoint. It is called from variable
// declarations; a name taken twice or with a colon is a mistake in the
// program and panics.
func NewFailpoint(name string) *Failpoint {
	failpoints.Lock()
	defer failpoints.Unlock()
	if failpoints.names == nil {
		failpoints.names = map[string]bool{}
	}
	if name == "" || name == "any" || strings.Contains(name, ":") || failpoints.names[name] {
		panic("artifact: failpoint name " + strconv.Quote(name) + " is taken or not allowed")
	}
	failpoints.names[name] = true
	return &Failpoint{name}
}

// Failpoints lists the registered names in order.
func Failpoints() []string {
	failpoints.Lock()
	defer failpoints.Unlock()
	names := make([]string, 0, len(failpoints.names))
	for name := range failpoints.names {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Hit reports that the program has come to the failpoint. It returns nil
// unless the failpoint is armed and this is the hit that acts.
func (f *Failpoint) Hit() error {
	a := armed.Load()
	if a == nil {
		return nil
	}
	return a.hit(f.name)
}

func (a *armedFailpoint) hit(name string) error {
	if a.name != "any" && a.name != name || a.hits.Add(1) != a.count {
		return nil
	}
	switch a.action {
	case "error":
		return fmt.Errorf("%w: %s", ErrFailpoint, name)
	case "nospace":
		return fmt.Errorf("%w: %s: %w", ErrFailpoint, name, syscall.ENOSPC)
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Kill() == nil {
		select {} // the signal is on its way
	}
	return fmt.Errorf("%w: %s: the process could not kill itself", ErrFailpoint, name)
}

// ArmFailpoint arms one failpoint as [FailpointVariable] describes, in place
// of any armed before; the empty string disarms. A malformed description or a
// name that nobody registered is an [ErrUsage].
func ArmFailpoint(description string) error {
	if description == "" {
		armed.Store(nil)
		return nil
	}
	parts := strings.Split(description, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return Errorf(ErrUsage, "arming failpoint %q: want name:count or name:count:action", description)
	}
	a := &armedFailpoint{name: parts[0], action: "kill"}
	failpoints.Lock()
	known := a.name == "any" || failpoints.names[a.name]
	failpoints.Unlock()
	if !known {
		return Errorf(ErrUsage, "arming failpoint %q: no failpoint %q; known are any, %s", description, a.name, strings.Join(Failpoints(), ", "))
	}
	count, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || count < 1 {
		return Errorf(ErrUsage, "arming failpoint %q: count %q is not a whole number above 0", description, parts[1])
	}
	a.count = count
	if len(parts) == 3 {
		a.action = parts[2]
	}
	switch a.action {
	case "kill", "error", "nospace":
	default:
		return Errorf(ErrUsage, "arming failpoint %q: action %q is none of kill, error, nospace", description, a.action)
	}
	armed.Store(a)
	return nil
}

// ArmFailpointFromEnvironment arms what [FailpointVariable] asks for; without
// the variable it does nothing. The program calls it once at its start, after
// every package has registered its failpoints.
func ArmFailpointFromEnvironment() error {
	if err := ArmFailpoint(os.Getenv(FailpointVariable)); err != nil {
		return fmt.Errorf("reading environment variable %s: %w", FailpointVariable, err)
	}
	return nil
}

// A durableStep is one step of a durable write with a failpoint on each side.
type durableStep struct{ before, after *Failpoint }

func newDurableStep(name string) durableStep {
	return durableStep{NewFailpoint(name + ".before"), NewFailpoint(name + ".after")}
}

func (s durableStep) do(step func() error) error {
	if err := s.before.Hit(); err != nil {
		return err
	}
	if err := step(); err != nil {
		return err
	}
	return s.after.Hit()
}
