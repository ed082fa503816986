#include "line.h"

int main(void) {
    char buffer[LINE_LENGTH];
    for (int count = 0; count < RD_LINE_MAX && read_line(stdin, buffer); count++) {
        fputs(buffer, stdout);
    }
    return 0;
}
