#include <stdio.h>
#include <string.h>

int main(void) {
    static char line[2000];
    if (!fgets(line, sizeof line, stdin)) return 1;
    int length = (int)strcspn(line, "\n"), start = 0, best = 0;
    for (int middle = 0; middle < 2 * length - 1; middle++) {
        int left = middle / 2, right = (middle + 1) / 2;
        while (left >= 0 && right < length && line[left] == line[right]) {
            left--;
            right++;
        }
        if (right - left - 1 > best) {
            best = right - left - 1;
            start = left + 1;
        }
    }
    printf("%.*s\n", best, line + start);
    return 0;
}
