#include <stdio.h>
#include <string.h>

int main(void) {
    static char line[10000];
    static char *words[5000];
    while (fgets(line, sizeof line, stdin)) {
        int count = 0;
        for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
            words[count++] = word;
        }
        while (count > 0) {
            count--;
            printf(count ? "%s " : "%s", words[count]);
        }
        puts("");
    }
    return 0;
}
