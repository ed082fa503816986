#include "line.h"

int main(void) {
    char buffer[BUFSZ];
    for (int count = 0; count < RD_LINE_MAX && rd_line(stdin, buffer); count++) {
        fputs(buffer, stdout);
    }
    return 0;
}
