#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static char line[10000], *at = line;

static long total(void);

static char next(void) {
    while (*at == ' ') at++;
    return *at;
}

static long factor(void) {
    char sign = next();
    if (isdigit((unsigned char)sign)) return strtol(at, &at, 10);
    at++;
    if (sign == '-') return -factor();
    long value = total();
    next();
    at++;
    return value;
}

static long product(void) {
    long value = factor();
    while (next() == '*' || next() == '/') {
        if (*at++ == '*') value *= factor();
        else value /= factor();
    }
    return value;
}

static long total(void) {
    long value = product();
    while (next() == '+' || next() == '-') {
        if (*at++ == '+') value += product();
        else value -= product();
    }
    return value;
}

int main(void) {
    if (!fgets(line, sizeof line, stdin)) return 1;
    printf("%ld\n", total());
    return 0;
}
