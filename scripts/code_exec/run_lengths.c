#include <stdio.h>

int main(void) {
    int last = getchar(), length = 1;
    while (last != '\n' && last != EOF) {
        int next = getchar();
        if (next == last) {
            length++;
            continue;
        }
        printf("%d%c", length, last);
        last = next;
        length = 1;
    }
    puts("");
    return 0;
}
