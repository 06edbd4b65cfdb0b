"""Experiments, runs, trainings, scores and per-item outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Big = sa.Integer().with_variant(sa.BigInteger(), 'postgresql')


def upgrade() -> None:
    op.create_table('experiments',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('profile', sa.String(), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('question', sa.String(), nullable=False),
    sa.Column('benchmark', sa.String(), nullable=False),
    sa.Column('spec', sa.JSON(), nullable=False),
    sa.Column('registered_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_experiments')),
    sa.UniqueConstraint('name', 'profile', name=op.f('uq_experiments_name_profile'))
    )
    op.create_table('runs',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('run_id', sa.String(length=12), nullable=False),
    sa.Column('train_id', sa.String(length=12), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('method', sa.String(), nullable=False),
    sa.Column('seed', Big, nullable=True),
    sa.Column('spec', sa.JSON(), nullable=False),
    sa.Column('status', sa.String(), nullable=False),
    sa.Column('stage', sa.String(), nullable=True),
    sa.Column('kind', sa.String(), nullable=True),
    sa.Column('error', sa.String(), nullable=True),
    sa.Column('worker', sa.String(), nullable=True),
    sa.Column('token', sa.Integer(), nullable=False),
    sa.Column('heartbeat_at', sa.DateTime(), nullable=True),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('finished_at', sa.DateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs')),
    sa.UniqueConstraint('run_id', name=op.f('uq_runs_run_id'))
    )
    op.create_index(op.f('ix_runs_model'), 'runs', ['model'], unique=False)
    op.create_index(op.f('ix_runs_status'), 'runs', ['status'], unique=False)
    op.create_index(op.f('ix_runs_train_id'), 'runs', ['train_id'], unique=False)
    op.create_table('tasks',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('fingerprint', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tasks')),
    sa.UniqueConstraint('name', 'version', 'fingerprint', name=op.f('uq_tasks_name_version_fingerprint'))
    )
    op.create_table('trainings',
    sa.Column('train_id', sa.String(length=12), nullable=False),
    sa.Column('seconds', sa.Double(), nullable=False),
    sa.Column('steps', sa.Integer(), nullable=False),
    sa.Column('tokens', Big, nullable=False),
    sa.Column('peak_memory_bytes', Big, nullable=True),
    sa.Column('trainable_params', Big, nullable=False),
    sa.Column('base_params', Big, nullable=False),
    sa.Column('trainable_percent', sa.Double(), nullable=False),
    sa.Column('adapter_bytes', Big, nullable=True),
    sa.Column('loss', sa.LargeBinary(), nullable=False),
    sa.Column('counts', sa.JSON(), nullable=False),
    sa.Column('provenance', sa.JSON(), nullable=False),
    sa.Column('trained_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('train_id', name=op.f('pk_trainings'))
    )
    op.create_table('attempts',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('worker', sa.String(), nullable=False),
    sa.Column('device', sa.String(), nullable=True),
    sa.Column('started_at', sa.DateTime(), nullable=False),
    sa.Column('ended_at', sa.DateTime(), nullable=True),
    sa.Column('outcome', sa.String(), nullable=True),
    sa.Column('kind', sa.String(), nullable=True),
    sa.Column('message', sa.String(), nullable=True),
    sa.Column('traceback', sa.String(), nullable=True),
    sa.Column('provenance', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_attempts_run')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempts')),
    sa.UniqueConstraint('run', 'number', name=op.f('uq_attempts_run_number'))
    )
    op.create_table('items',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=False),
    sa.Column('doc_id', sa.Integer(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['task'], ['tasks.id'], name=op.f('fk_items_task')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_items')),
    sa.UniqueConstraint('task', 'doc_id', 'hash', name=op.f('uq_items_task_doc_id_hash'))
    )
    op.create_table('memberships',
    sa.Column('experiment', sa.Integer(), nullable=False),
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('label', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('tasks', sa.JSON(), nullable=False),
    sa.Column('departures', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['experiment'], ['experiments.id'], name=op.f('fk_memberships_experiment')),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_memberships_run')),
    sa.PrimaryKeyConstraint('experiment', 'run', name=op.f('pk_memberships'))
    )
    op.create_index(op.f('ix_memberships_run'), 'memberships', ['run'], unique=False)
    op.create_table('scores',
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=False),
    sa.Column('metric', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('value', sa.Double(), nullable=False),
    sa.Column('stderr', sa.Double(), nullable=True),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_scores_run')),
    sa.ForeignKeyConstraint(['task'], ['tasks.id'], name=op.f('fk_scores_task')),
    sa.PrimaryKeyConstraint('run', 'task', 'metric', name=op.f('pk_scores'))
    )
    op.create_index(op.f('ix_scores_task'), 'scores', ['task'], unique=False)
    op.create_table('scorings',
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=False),
    sa.Column('seconds', sa.Double(), nullable=False),
    sa.Column('provenance', sa.JSON(), nullable=False),
    sa.Column('scored_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_scorings_run')),
    sa.ForeignKeyConstraint(['task'], ['tasks.id'], name=op.f('fk_scorings_task')),
    sa.PrimaryKeyConstraint('run', 'task', name=op.f('pk_scorings'))
    )
    op.create_table('outcomes',
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('item', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.Double(), nullable=False),
    sa.Column('answer', sa.String(), nullable=True),
    sa.Column('output_tokens', sa.Integer(), nullable=True),
    sa.Column('output', sa.LargeBinary(), nullable=True),
    sa.ForeignKeyConstraint(['item'], ['items.id'], name=op.f('fk_outcomes_item')),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_outcomes_run')),
    sa.PrimaryKeyConstraint('run', 'item', name=op.f('pk_outcomes')),
    sqlite_with_rowid=False
    )
