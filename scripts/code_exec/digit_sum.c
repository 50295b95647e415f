#include <ctype.h>
#include <stdio.h>

int main(void) {
    int letter, sum = 0;
    while ((letter = getchar()) != EOF) {
        if (isdigit(letter)) sum += letter - '0';
    }
    printf("%d\n", sum);
    return 0;
}
