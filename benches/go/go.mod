module gthread/benches/go

go 1.23
