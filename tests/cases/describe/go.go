// Package a is a package.
package a

//go:generate stringer

// Server serves requests, e.g. of browsers.
// It goes on.
type Server struct {
	addr string // the addr
}

// Run runs the server on addr until version 3.1.
//
// More.
//
//go:noinline
func (s *Server) Run(addr string, f func(int) (int, error)) (n int, err error) {
	return s.Run("(", f)
}

/*
Map maps
over lines.
*/
func Map[K comparable, V interface{ Do(K) }](xs map[K]V, f func(K, ...V)) []V { return nil }

func (t *Tree[K]) none() {}

// Handler is one
type Handler func(w Writer, r *Request) error

type Reader interface {
	Read(p []byte) (n int, err error)
}

func long(
	a int, // the ( first
	b string,
) {
}
