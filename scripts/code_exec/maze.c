#include <stdio.h>
#include <string.h>

#define MOST 200

static char rows[MOST][MOST + 2];
static int steps[MOST][MOST], queue[MOST * MOST][2];

int main(void) {
    int height = 0, begin = 0, end = 0;
    memset(steps, -1, sizeof steps);
    while (height < MOST && scanf("%200s", rows[height]) == 1) {
        char *start = strchr(rows[height], 'S');
        if (start) {
            queue[end][0] = (int)(start - rows[height]);
            queue[end++][1] = height;
            steps[height][start - rows[height]] = 0;
        }
        height++;
    }
    while (begin < end) {
        int x = queue[begin][0], y = queue[begin++][1];
        if (rows[y][x] == 'E') {
            printf("%d\n", steps[y][x]);
            return 0;
        }
        const int ways[4][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
        for (int way = 0; way < 4; way++) {
            int a = x + ways[way][0], b = y + ways[way][1];
            if (a < 0 || b < 0 || b >= height || a >= (int)strlen(rows[b])) continue;
            if (rows[b][a] == '#' || steps[b][a] >= 0) continue;
            steps[b][a] = steps[y][x] + 1;
            queue[end][0] = a;
            queue[end++][1] = b;
        }
    }
    puts("-1");
    return 0;
}
