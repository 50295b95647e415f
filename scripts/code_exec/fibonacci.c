#include <stdio.h>

#define MODULUS 1000000007ULL

typedef unsigned long long number;

static void pair(number n, number *a, number *b) {
    if (n == 0) {
        *a = 0;
        *b = 1;
        return;
    }
    number x, y;
    pair(n / 2, &x, &y);
    number c = x * ((2 * y + MODULUS - x) % MODULUS) % MODULUS;
    number d = (x * x + y * y) % MODULUS;
    *a = n % 2 ? d : c;
    *b = n % 2 ? (c + d) % MODULUS : d;
}

int main(void) {
    number n, a, b;
    if (scanf("%llu", &n) != 1) return 1;
    pair(n, &a, &b);
    printf("%llu\n", a);
    return 0;
}
