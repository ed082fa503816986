#include "line.h"

int read_line(FILE *file, char buffer[LINE_LENGTH]) {
    return fgets(buffer, LINE_LENGTH, file) != NULL;
}
