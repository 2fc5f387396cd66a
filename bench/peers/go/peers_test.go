// SPDX-License-Identifier: Apache-2.0

// What libraries for Go need for what bench/peers/ours.c measures of duress: an empty function that succeeds, behind a
// closed circuit breaker, and behind a retry policy of three attempts.
package peers

import (
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sony/gobreaker"
)

func BenchmarkBreakerGobreaker(b *testing.B) {
	breaker := gobreaker.NewCircuitBreaker(gobreaker.Settings{Timeout: time.Minute})
	work := func() (interface{}, error) { return nil, nil }
	for i := 0; i < b.N; i++ {
		if _, err := breaker.Execute(work); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBreakerFailsafe(b *testing.B) {
	breaker := circuitbreaker.Builder[any]().WithFailureThreshold(5).WithDelay(time.Minute).Build()
	executor := failsafe.NewExecutor[any](breaker)
	for i := 0; i < b.N; i++ {
		if err := executor.Run(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRetryFailsafe(b *testing.B) {
	policy := retrypolicy.Builder[any]().WithMaxRetries(2).WithBackoff(time.Second, 30*time.Second).Build()
	executor := failsafe.NewExecutor[any](policy)
	for i := 0; i < b.N; i++ {
		if err := executor.Run(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
