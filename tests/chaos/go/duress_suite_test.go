// SPDX-License-Identifier: Apache-2.0

// Package chaos gives the chaos suite to go test: a subtest for each test and world.
//
// DURESS_SUITE is the command that runs the suite (build/release/duress suite), or one's own suite; DURESS_WORLD is live,
// sim or both (the default), DURESS_SEEDS how many schedules a simulated test gets (200). Groups run when the first of
// their tests is asked for, all their tests at once.
package chaos

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every other group is about partial failures: of one agent among many, one item of a batch, one chunk of a stream.
var kinds = map[string]string{
	"breaker": "network", "network": "network", "retry": "network", "server": "network", "timeout": "network",
	"service": "service",
}

type groupRuns struct {
	printed string
	Runs    []struct{ Test, World, Result, Message string }
}

var ran = map[string]groupRuns{} // by group and world

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// suite runs the suite; an exit code of 1 says that tests failed, and is no error.
func suite(options ...string) (string, error) {
	command := strings.Fields(environment("DURESS_SUITE", "../../../build/release/duress suite"))
	printed, err := exec.Command(command[0], append(command[1:], options...)...).Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 1 {
		err = nil
	}
	return string(printed), err
}

func runsOf(t *testing.T, group, world string) groupRuns {
	runs, found := ran[group+" "+world]
	if found {
		return runs
	}
	report := filepath.Join(t.TempDir(), "report.json")
	printed, err := suite("--world", world, "--filter", group+".*", "--seeds", environment("DURESS_SEEDS", "200"),
		"--json", report)
	if err != nil {
		t.Fatalf("the suite: %v", err)
	}
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &runs)
	}
	if err != nil {
		t.Fatalf("the suite's report: %v", err)
	}
	runs.printed = printed
	ran[group+" "+world] = runs
	return runs
}

// check passes, skips or fails as the suite's runs of the test did.
func check(t *testing.T, test, world string) {
	group, _, _ := strings.Cut(test, ".")
	runs := runsOf(t, group, world)
	passed := false
	for _, run := range runs.Runs {
		if run.Test != test || run.World != world {
			continue
		}
		switch run.Result {
		case "passed":
			passed = true
		case "skipped":
			t.Skip(run.Message)
		case "not_run":
		default:
			for _, block := range strings.Split(runs.printed, "\n\n") {
				if strings.Contains(block, ": "+test+" ("+world+")\n") {
					t.Fatal(block)
				}
			}
			t.Fatal(run.Result, run.Message)
		}
	}
	if !passed {
		t.Fatal("it did not run")
	}
}

func checkAll(t *testing.T, kind string) {
	listing, err := suite("--world", environment("DURESS_WORLD", "both"), "--list")
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no chaos suite: %v; make chaos builds it", err)
	}
	if err != nil {
		t.Fatalf("the suite: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(listing), "\n") {
		test, rest, _ := strings.Cut(line, "\t")
		world, _, _ := strings.Cut(rest, "\t")
		group, _, _ := strings.Cut(test, ".")
		kindOf, listed := kinds[group]
		if kindOf == kind || (!listed && kind == "partial") {
			t.Run(test+" "+world, func(t *testing.T) { check(t, test, world) })
		}
	}
}
