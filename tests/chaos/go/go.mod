module duress/chaos

go 1.19
