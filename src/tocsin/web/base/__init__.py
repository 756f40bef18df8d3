"""What every page is made with: the shell, forms, errors, files, and how values are written."""
