#include <stdio.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(void) {
    static long numbers[100000];
    int count = 0, most = 0;
    while (count < 100000 && scanf("%ld", &numbers[count]) == 1) count++;
    qsort(numbers, count, sizeof *numbers, by_size);
    long best = 0;
    for (int at = 0, run = 0; at < count; at++) {
        run = at > 0 && numbers[at] == numbers[at - 1] ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = numbers[at];
        }
    }
    printf("%ld\n", best);
    return 0;
}
