// Package component runs one of several programs that are linked into one binary: `binary NAME [flags]`.
package component

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// Run runs the program that the first argument names; it sees its own name and flags only.
//
// With EXIT_WITH_STDIN in the environment the process ends when its standard input does, which is when the process that
// started it ends, however that happens: a test run that is killed leaves nothing behind.
func Run(programs map[string]func() int) {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	sort.Strings(names)
	var program func() int
	if len(os.Args) > 1 {
		program = programs[os.Args[1]]
	}
	if program == nil {
		fmt.Fprintf(os.Stderr, "usage: %s %s [flags]\n", os.Args[0], strings.Join(names, "|"))
		os.Exit(2)
	}
	if os.Getenv("EXIT_WITH_STDIN") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	os.Args = os.Args[1:]
	os.Exit(program())
}
