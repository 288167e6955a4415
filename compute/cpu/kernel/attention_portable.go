package kernel

import "math"

func tileSetPortable(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
	for i := range mt * tileRows {
		for n := range nt {
			tileRowPortable(c[i*ldc+n*tileCols:], 0, a[i*rs:], ks, b[n*bps:], ldb, k)
		}
	}
}

func tileAddPortable(c []float32, ldc int, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
	for i := range mt * tileRows {
		for n := range nt {
			tileRowPortable(c[i*ldc+n*tileCols:], 1, a[i*rs:], ks, b[n*bps:], ldb, k)
		}
	}
}

func tileRescalePortable(c []float32, ldc int, rowScale, a []float32, rs, ks int, b []float32, ldb, bps, k, mt, nt int) {
	for i := range mt * tileRows {
		for n := range nt {
			tileRowPortable(c[i*ldc+n*tileCols:], rowScale[i], a[i*rs:], ks, b[n*bps:], ldb, k)
		}
	}
}

// tileRowPortable sets 16 columns of one row to scale·c + a·B. A scale of 0
// does not read c.
func tileRowPortable(c []float32, scale float32, a []float32, ks int, b []float32, ldb, k int) {
	var acc [tileCols]float32
	if scale != 0 {
		for j := range acc {
			acc[j] = scale * c[j]
		}
	}
	for p := range k {
		x := a[p*ks]
		row := (*[tileCols]float32)(b[p*ldb:])
		for j, y := range row {
			acc[j] += float32(x * y)
		}
	}
	copy(c[:tileCols], acc[:])
}

func transpose8Portable(dst, src []float32, stride, dim int) {
	for r := range 8 {
		for d, v := range src[r*stride : r*stride+dim] {
			dst[d*tileCols+r] = v
		}
	}
}

func softmaxTilePortable(s []float32, ld, rows, cols, lo, hi, step int, scale2 float32, m, l, rescale []float32) {
	for r := range rows {
		row := s[r*ld : r*ld+cols]
		from, to := min(max(lo+r*step, 0), cols), min(max(hi+r*step, 0), cols)
		from = min(from, to)
		clear(row[:from])
		clear(row[to:])
		seen := row[from:to]
		top := m[r]
		for j, v := range seen {
			v *= scale2
			seen[j] = v
			if v > top {
				top = v
			}
		}
		var sum float32
		for j, v := range seen {
			v = exp2(v - top)
			seen[j] = v
			sum += v
		}
		rescale[r] = exp2(m[r] - top)
		m[r] = top
		l[r] = float32(l[r]*rescale[r]) + sum
	}
}

func gradTilePortable(s, dp []float32, ld, rows, cols, lo, hi, step int, scale2 float32, lse2, delta []float32) {
	for r := range rows {
		row, drow := s[r*ld:r*ld+cols], dp[r*ld:r*ld+cols]
		from, to := min(max(lo+r*step, 0), cols), min(max(hi+r*step, 0), cols)
		for j := range row {
			if j < from || j >= to {
				row[j], drow[j] = 0, 0
				continue
			}
			p := exp2(float32(row[j]*scale2) - lse2[r])
			row[j], drow[j] = p, p*(drow[j]-delta[r])
		}
	}
}

func scaleRowsPortable(dst []float32, ldd int, src []float32, lds, rows, cols int, s float32) {
	for r := range rows {
		scalePortable(dst[r*ldd:r*ldd+cols], src[r*lds:r*lds+cols], s)
	}
}

func exp2(x float32) float32 { return float32(math.Exp2(float64(x))) }

func keyDotsPortable(s, q, k []float32, stride int) {
	for j := range s {
		row := k[j*stride : j*stride+len(q)]
		var sum float32
		for d, v := range row {
			sum += float32(v * q[d])
		}
		s[j] = sum
	}
}

func valueSumPortable(o, p, v []float32, stride int) {
	for j, w := range p {
		for d, x := range v[j*stride : j*stride+len(o)] {
			o[d] += float32(w * x)
		}
	}
}

func keyDots3Portable(s []float32, ld int, q []float32, qs, dim int, k []float32, stride, n int) {
	for i := range queriesTogether {
		keyDotsPortable(s[i*ld:i*ld+n], q[i*qs:i*qs+dim], k, stride)
	}
}

func valueSum3Portable(o []float32, os, dim int, p []float32, ld int, v []float32, stride, n0, n1, n2 int) {
	for i, n := range [queriesTogether]int{n0, n1, n2} {
		valueSumPortable(o[i*os:i*os+dim], p[i*ld:i*ld+n], v, stride)
	}
}
