package main

import "github.com/mmcloughlin/avo/build"

// genGemm writes the matrix product half of the package.
func genGemm() {
	build.TEXT("gemmEmpty", build.NOSPLIT, "func()")
	build.Pragma("noescape")
	build.RET()
}
