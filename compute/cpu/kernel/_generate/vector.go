package main

import "github.com/mmcloughlin/avo/build"

// genVector writes the vector half of the package.
func genVector() {
	build.TEXT("vectorEmpty", build.NOSPLIT, "func()")
	build.Pragma("noescape")
	build.RET()
}
