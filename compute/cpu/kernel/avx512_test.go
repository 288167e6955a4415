//go:build amd64 && !purego

package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// AVX-512 changes the width of registers and nothing of the arithmetic.
func TestAVX512GivesTheBitsOfAVX2(t *testing.T) {
	if best() < avx512Level {
		t.Skip(missing[avx512Level])
	}
	lengths := []int{0, 1, 5, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100, 129}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	cases := map[string]func() []float32{
		"reductions": func() (out []float32) {
			for _, n := range lengths[1:] {
				x, y := vector(1, n, 30).x, vector(2, n, 3).x
				square := SumSquares(x)
				loss, lse := CrossEntropyRow(x, n/2)
				logprob, entropy, _ := LogProbRow(y, n/3, 0.7)
				top, sum := SoftmaxStats(x)
				out = append(out, Sum(x), Dot(x, y), float32(square), float32(square-float64(float32(square))), loss, lse, logprob, entropy, top, sum)
				sums := vector(3, n, 1).x
				SumRows(sums, vector(4, 7*n, 2).x)
				CrossEntropyGradRow(x, n/2, lse, 0.3)
				out = append(append(out, sums...), x...)
			}
			return out
		},
		"norms": func() (out []float32) {
			for _, n := range lengths[1:] {
				x, dy, gamma, beta := vector(1, 3*n, 2).x, vector(2, 3*n, 1).x, vector(3, n, 1).x, vector(4, n, 1).x
				y, mean, rstd, dx := make([]float32, 3*n), make([]float32, 3), make([]float32, 3), make([]float32, 3*n)
				dgamma, dbeta := make([]float32, n), make([]float32, n)
				LayerNorm(y, mean, rstd, x, gamma, beta, 1e-5)
				LayerNormGrad(dx, dgamma, dbeta, dy, x, mean, rstd, gamma)
				for _, part := range [][]float32{y, mean, rstd, dx, dgamma, dbeta} {
					out = append(out, part...)
				}
				RMSNorm(y, rstd, x, gamma, 1e-5)
				RMSNormGrad(dx, dgamma, dy, x, rstd, gamma)
				RoPE(y[:2*n], x[:2*n], gamma, beta, []int32{0}, 1, 2*n)
				for _, part := range [][]float32{y, rstd, dx, dgamma} {
					out = append(out, part...)
				}
			}
			return out
		},
		"products": func() (out []float32) {
			scratch := make([]float32, max(GemmATScratch(), GemmBF16Scratch()))
			rows := []int{33, manyRows, 75, 90, rowBlock + 5}
			for m := 1; m <= 27; m++ {
				rows = append(rows, m)
			}
			for _, m := range rows {
				for _, n := range []int{1, 16, 33, 48, 70, 112} {
					k := 1 + (m*7+n)%41
					if m == 19 || m == 75 {
						k += KC
					}
					a, b := newBuffer(1, m, k, 1, 1), newBuffer(2, k, n, 0, 0)
					c, panels := newBuffer(3, m, n, 0, 0).x, (n+NR-1)/NR
					bp, at := packed(t, b, k, n), transposed(a, m, k)
					Gemm(Matrix{c, n}, Matrix{a.x, a.stride}, Panels{bp, k, n}, Area{0, m, 0, panels}, m%2 == 0, Ahead{})
					out = append(out, c...)
					GemmAT(Matrix{c, n}, Matrix{at.x, at.stride}, Panels{bp, k, n}, Area{m / 3, m, panels / 2, panels}, true, scratch, nil)
					out = append(out, c...)
					GemmBF16(Matrix{c, n}, Matrix{a.x, a.stride}, PanelsBF16{packedBF16(t, b, k, n, false), k, n}, Area{0, m, 0, panels}, m%2 == 0, scratch, Ahead{})
					out = append(out, c...)
				}
			}
			return out
		},
		"attention": func() (out []float32) {
			cases := attentionCases()
			for _, name := range slices.Sorted(maps.Keys(cases)) {
				c := cases[name]
				x := c.tensors()
				c.run(t, x)
				for _, b := range []buffer{x.o, x.lse, x.dq, x.dk, x.dv} {
					out = append(out, b.x...)
				}
			}
			for n := 1; n < 60; n += 3 {
				for _, window := range []int{0, 11} {
					const dim = 24
					a := CachedAttention{Heads: 2, KVHeads: 1, HeadDim: dim, MaxPositions: n, Window: window, Scale: 0.25}
					q, k, v, o := vector(1, n*2*dim, 1).x, vector(2, n*dim, 1).x, vector(3, n*dim, 1).x, make([]float32, n*2*dim)
					a.Forward(o, q, k, v, 0, 0, make([]float32, a.Scratch()))
					out = append(out, o...)
				}
			}
			return out
		},
	}
	for _, op := range elementwiseOps {
		cases[op.name] = func() (out []float32) {
			for _, n := range lengths {
				in, results := operands(op, n)
				if n > 40 {
					copy(in[0].x[20:], []float32{inf, -inf, nan, 0, float32(math.Copysign(0, -1)), 1e-40, math.MaxFloat32, -200})
				}
				op.run(slicesOf(results), slicesOf(in))
				for _, b := range results {
					out = append(out, b.x...)
				}
			}
			return out
		}
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			useSet(t, "avx2")
			want := run()
			useSet(t, "avx512")
			dotBF16 = false // its dot products have bits of their own
			got := run()
			if len(got) != len(want) {
				t.Fatalf("%d numbers, want %d", len(got), len(want))
			}
			for i, v := range got {
				if w := want[i]; math.Float32bits(v) != math.Float32bits(w) && !(v != v && w != w) {
					t.Fatalf("number %d of %d is %g, with AVX2 %g", i, len(got), v, w)
				}
			}
		})
	}
}

func TestStripsOfAVX512CoverTheRowsAndAreNotNarrow(t *testing.T) {
	for rows := 1; rows <= 3*rowBlock; rows++ {
		covered := 0
		for covered < rows {
			r, strips := wideStrips(rows - covered)
			if r < 1 || r > wideRows || strips < 1 || r < 4 && rows >= 4 {
				t.Fatalf("of %d rows, %d strips of %d begin at %d", rows, strips, r, covered)
			}
			covered += r * strips
		}
		if covered != rows {
			t.Fatalf("strips cover %d of %d rows", covered, rows)
		}
	}
}

// Go's assembler does not know VDPBF16PS, so the kernels hold it as bytes, each
// under a comment that says what it means. Another assembler says whether.
func TestDotProductsAreEncodedAsAnotherAssemblerDoes(t *testing.T) {
	for _, tool := range []string{"as", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the bytes are compared with those of binutils: %v", err)
		}
	}
	file, err := os.ReadFile("gemm_avx512_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	instruction := regexp.MustCompile(`// VDPBF16PS Z(\d+), Z(\d+), Z(\d+)\n\tLONG +\$0x([0-9a-f]{8})\n\tWORD +\$0x([0-9a-f]{4})\n`)
	source, want := "", []byte{}
	found := instruction.FindAllStringSubmatch(string(file), -1)
	for _, m := range found {
		source += fmt.Sprintf("vdpbf16ps %%zmm%s, %%zmm%s, %%zmm%s\n", m[1], m[2], m[3])
		for i, bits := range []int{32, 16} {
			v, err := strconv.ParseUint(m[4+i], 16, bits)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, binary.LittleEndian.AppendUint64(nil, v)[:bits/8]...)
		}
	}
	if lines := strings.Count(string(file), "\tWORD"); len(found) == 0 || lines != len(found) {
		t.Fatalf("%d instructions in bytes, of which %d have a comment that says which", lines, len(found))
	}
	dir := t.TempDir()
	object, text := filepath.Join(dir, "a.o"), filepath.Join(dir, "a.text")
	assemble := exec.Command("as", "--64", "-o", object, "-")
	assemble.Stdin = strings.NewReader(source)
	if out, err := assemble.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "no such instruction") {
			t.Skipf("this assembler is too old: %s", bytes.SplitN(out, []byte("\n"), 3)[1])
		}
		t.Fatalf("assembling: %v\n%s", err, out)
	}
	if out, err := exec.Command("objcopy", "-O", "binary", "-j", ".text", object, text).CombinedOutput(); err != nil {
		t.Fatalf("copying the code: %v\n%s", err, out)
	}
	got, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the bytes of %d instructions are not those of the assembler", len(found))
	}
}
