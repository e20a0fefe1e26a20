"""What one lab alone needs, a module or two each: lab05_growth belongs to labs/05_*.ipynb."""
