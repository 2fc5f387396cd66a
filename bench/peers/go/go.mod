module duress.example/peers

go 1.21

require (
	github.com/failsafe-go/failsafe-go v0.6.9
	github.com/sony/gobreaker v1.0.0
)

require github.com/bits-and-blooms/bitset v1.14.3 // indirect
