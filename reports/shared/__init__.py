"""What every document and command is made with: files, figures, templates, schemas, progress."""
