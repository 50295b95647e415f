#include <stdio.h>

int main(void) {
    long first, last, count = 0;
    if (scanf("%ld %ld", &first, &last) != 2) return 1;
    for (long number = first < 2 ? 2 : first; number <= last; number++) {
        int prime = 1;
        for (long factor = 2; factor * factor <= number; factor++) {
            if (number % factor == 0) {
                prime = 0;
                break;
            }
        }
        if (prime) printf(count++ ? " %ld" : "%ld", number);
    }
    puts(count ? "" : "none");
    return 0;
}
