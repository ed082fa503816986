#include "line.h"

int rd_line(FILE *file, char buffer[BUFSZ]) {
    return fgets(buffer, BUFSZ, file) != NULL;
}
