/* Preloaded, it lets MKL choose its AVX2 and AVX-512 kernels on a processor of
   another maker as it would on Intel's. */
int mkl_serv_intel_cpu_true(void) { return 1; }
